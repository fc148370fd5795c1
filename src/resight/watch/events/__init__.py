"""Events while watching: a message for every track, to files, MQTT brokers and web addresses, none of them lost."""
