"""The real history, walked contact day by contact day with the functions that the platform's flows use."""
