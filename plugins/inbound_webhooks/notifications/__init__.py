"""Mails about deliveries: outbox, rendering, transport."""
