"""What other systems send, made into alarms and signals: pure readers, and the door they use."""
