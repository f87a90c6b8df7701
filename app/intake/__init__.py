"""The HTTP intake: takes profiles from services and Adobe Experience Platform, and answers when they are durable."""
