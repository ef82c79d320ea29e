"""The protocols of AWS on the side of the service: requests to parameters, contents to replies. botocore has the client's side only.

A module here walks the shapes of botocore's service models. It knows nothing about kinds or tasks.
"""
