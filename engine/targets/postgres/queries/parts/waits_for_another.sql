-- Whether a session waits for another one.
a.wait_event_type = 'Lock' OR a.wait_event = '{wait_of_repack}'
