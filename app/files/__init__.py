"""Files of profiles: recognised by their content, read record by record in constant memory."""
