-- A database that is gone is told of as a critical one is, until a person says that it may go.
DROP INDEX survey_critical;
CREATE INDEX survey_critical ON survey (target) WHERE level = 'critical' OR reason = 'gone';
