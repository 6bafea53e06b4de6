"""GET /models: placeholder"""
