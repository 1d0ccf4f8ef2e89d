"""The endpoint as an ASGI application: guard, body, masking."""
