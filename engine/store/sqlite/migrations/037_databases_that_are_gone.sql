-- A database that is gone is told of as a critical one is.
DROP INDEX survey_critical;
CREATE INDEX survey_critical ON survey (target) WHERE level = 'critical' OR reason = 'gone';
