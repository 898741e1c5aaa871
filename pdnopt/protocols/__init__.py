"""What a controller and a device say to each other, whatever carries it: commands, replies, readings, time."""
