-- What the store itself sees: leases that were given back, and writes that must not be. Runs in the schema of the store.
CREATE TABLE clock (at timestamptz NOT NULL);
INSERT INTO clock VALUES ('2027-01-15 08:00+00');
CREATE TABLE audit_released (shard integer NOT NULL, epoch bigint NOT NULL);
CREATE TABLE audit_broken (what text NOT NULL);

CREATE FUNCTION note_release() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_released VALUES (OLD.shard, OLD.epoch);
    RETURN NULL;
END $$;
CREATE TRIGGER note_release AFTER UPDATE ON shards FOR EACH ROW
    WHEN (NEW.owner IS NULL AND OLD.owner IS NOT NULL) EXECUTE FUNCTION note_release();

-- Each commit takes this lock, which the story holds for a while to let the commits of one process take long.
CREATE FUNCTION commit_slowly() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    process text := current_setting('application_name');
BEGIN
    IF process LIKE 'process-%' THEN
        PERFORM pg_advisory_xact_lock_shared(77, substr(process, 9)::integer);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER commit_slowly AFTER INSERT ON watches DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION commit_slowly();

-- At the end of a transaction: its process still owns the shard, and no later position of the shard was committed before.
CREATE FUNCTION check_write() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    process text := current_setting('application_name');
    name text;
BEGIN
    IF process NOT LIKE 'process-%' THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(77, substr(process, 9)::integer);
    SELECT owner INTO name FROM shards WHERE shard = NEW.shard;
    IF name IS NULL OR split_part(name, '.', 1) <> process THEN
        INSERT INTO audit_broken VALUES (format('%s wrote to %s of shard %s, whose owner is %s', process, TG_TABLE_NAME, NEW.shard, name));
    END IF;
    IF TG_TABLE_NAME = 'events' THEN
        PERFORM FROM events WHERE shard = NEW.shard AND position > NEW.position AND xmin <> pg_current_xact_id()::xid;
        IF FOUND THEN
            INSERT INTO audit_broken VALUES (format('position %s of shard %s is committed after a later one', NEW.position, NEW.shard));
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER check_write AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_write();
CREATE CONSTRAINT TRIGGER check_write AFTER INSERT ON settled DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_write();
CREATE CONSTRAINT TRIGGER check_write AFTER UPDATE ON cursors DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_write();
