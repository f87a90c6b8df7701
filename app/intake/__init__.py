"""The HTTP intake: takes profiles from services and from Adobe Experience Platform, and answers when they are durable."""
