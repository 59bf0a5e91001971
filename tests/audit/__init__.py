"""The audit: documents with planted errors, and clean ones beside them."""
