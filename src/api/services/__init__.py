"""Business rules and queries; they flush and never commit."""
