-- How many connections the server and its users may have, and how many the user has.
-- The limit of one account is 0 where it has none; others of its name count, too.
SELECT CAST(@@max_connections AS SIGNED), CAST(@@max_user_connections AS SIGNED),
    (SELECT COUNT(*) FROM information_schema.processlist WHERE user = SUBSTRING_INDEX(USER(), '@', 1))
