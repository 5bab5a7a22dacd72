"""What does it cost to work on all schemas, and to make one more of them?"""
