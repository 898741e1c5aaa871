"""Ways to devices: a gateway (JSON lines over mutual TLS), MQTT over mutual TLS, plain Modbus TCP to read."""
