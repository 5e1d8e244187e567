"""The auditor's room: offline verification, standing on core alone."""
