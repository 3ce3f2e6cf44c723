"""DynamoDB itself, as Amazon's DynamoDB Local: ``make dynamodb-local``."""
