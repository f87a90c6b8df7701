"""The activation pipeline: streams audience profiles into Salesforce Marketing Cloud."""
