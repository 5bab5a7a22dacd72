"""What is known of a patient's health."""
