"""The bus over Redis or Valkey."""
