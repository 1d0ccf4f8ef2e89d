"""Random templates, schemas, bodies and definitions, each within limits of processor time and memory."""
