"""The client of Salesforce Marketing Cloud: authentication, contacts, attribute-set definitions."""

from app.sfmc.client import MarketingCloud

__all__ = ["MarketingCloud"]
