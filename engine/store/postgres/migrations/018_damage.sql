-- What is known to be damaged in each target, whoever saw it, until a check ends it or a person takes note of it.
CREATE TABLE damage (
    target   text COLLATE "C" NOT NULL,
    object   text COLLATE "C" NOT NULL,
    source   text COLLATE "C" NOT NULL,
    found_at bigint NOT NULL,
    facts    text NOT NULL,
    PRIMARY KEY (target, object, source)
);
-- The reason damaged is known: the functions that check reasons are made anew.
