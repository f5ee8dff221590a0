"""The live page: devices, and one device's lines, histogram and means. It talks to REST and live events only."""
