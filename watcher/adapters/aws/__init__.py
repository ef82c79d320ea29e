"""The only code that imports the AWS SDK: clients, limits on replies, and named errors for its exceptions."""
