-- Removes the event log itself: everything else follows from it, so this goes last.
DROP TABLE events;
DROP TABLE event_log;
DROP FUNCTION event_log_advance();
DROP FUNCTION event_log_refuse();
DROP FUNCTION event_log_head_is_last();
