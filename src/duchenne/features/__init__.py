"""What turns faces into features, stored or new; training something on features belongs to `heads`."""
