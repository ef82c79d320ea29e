"""The only code that knows the AWS SDK: clients, the guard on the wire, the probe, and what errors mean."""
