"""The tables of a gallery: one schema, made and brought up to date by numbered steps.

What was seen never changes: a record is added and erased. Whose it is does, so that is a table of its own
(``labels``), and giving a name rewrites neither vectors nor their index.

Rows with vectors of up to some 2,000 numbers lie in the table itself, which a search reads from end to end; longer ones
go to TOAST. What is counted and listed is in the primary key as well, so that it is read without the vectors. Columns
with personal data are left out of the planner's statistics, which would keep samples of them.

A direction is all that cosine distance compares, and PostgreSQL computes with float32, where the square of 1e-23 is 0.
So a vector that short is stored times 2^-``scale``, which changes no digit.
"""

from __future__ import annotations

MIGRATIONS = (
    """
CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE identities (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- never used again, because the log mentions it
    name text COLLATE "C" NOT NULL UNIQUE
);
CREATE TABLE records (
    id uuid NOT NULL,
    camera text COLLATE "C" NOT NULL,
    time double precision,     -- times are seconds since 1970
    source bytea NOT NULL,     -- UTF-8 but for the names of files that are not
    box bigint[],
    basis bytea NOT NULL,
    expires double precision,
    added double precision NOT NULL,
    scale smallint NOT NULL,
    vector vector({dim}) NOT NULL,
    PRIMARY KEY (id) INCLUDE (camera, time, expires)
) WITH (toast_tuple_target = 8160);
CREATE TABLE labels (
    id uuid PRIMARY KEY REFERENCES records ON DELETE CASCADE,
    identity bigint NOT NULL REFERENCES identities
);
CREATE TABLE thumbnails (id uuid PRIMARY KEY REFERENCES records ON DELETE CASCADE, content bytea NOT NULL);
CREATE TABLE events (
    number bigint PRIMARY KEY, time double precision NOT NULL, actor text NOT NULL, action text NOT NULL,
    details json NOT NULL, digest text NOT NULL
);
ALTER TABLE thumbnails ALTER content SET STORAGE EXTERNAL, ALTER content SET STATISTICS 0;
ALTER TABLE identities ALTER name SET STATISTICS 0;
ALTER TABLE records ALTER vector SET STATISTICS 0, ALTER source SET STATISTICS 0, ALTER basis SET STATISTICS 0;
CREATE INDEX labels_identity ON labels (identity);
CREATE INDEX records_camera ON records (camera, time);
CREATE INDEX records_time ON records (time) WHERE time IS NOT NULL;
CREATE INDEX records_expires ON records (expires) WHERE expires IS NOT NULL;
CREATE FUNCTION events_stay() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the log only grows' USING ERRCODE = 'object_not_in_prerequisite_state'; END $$;
CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON events EXECUTE FUNCTION events_stay();
""",
    """
CREATE TABLE answers (  -- of first < second
    first uuid NOT NULL REFERENCES records ON DELETE CASCADE,
    second uuid NOT NULL REFERENCES records ON DELETE CASCADE,
    answer text NOT NULL, time double precision NOT NULL, actor text NOT NULL,
    PRIMARY KEY (first, second)
);
CREATE INDEX answers_second ON answers (second);
DO $$ DECLARE one record; BEGIN  -- who may name records may answer about them
    FOR one IN SELECT r.rolname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
        JOIN pg_roles r ON r.oid = a.grantee WHERE c.oid = 'labels'::regclass AND a.grantee <> c.relowner
    LOOP EXECUTE 'GRANT ' || one.privilege_type || ' ON answers TO ' || quote_ident(one.rolname); END LOOP;
END $$;
""",
    """
ALTER TABLE records ADD mark bytea;  -- of the content, where it is known; see resight.gallery.erased
CREATE TABLE erased (mark bytea PRIMARY KEY);  -- those that erased records left
ALTER TABLE records ALTER mark SET STATISTICS 0;
DO $$ DECLARE one record; BEGIN  -- who may read, add or erase records may do so with marks
    FOR one IN SELECT r.rolname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
        JOIN pg_roles r ON r.oid = a.grantee WHERE c.oid = 'records'::regclass AND a.grantee <> c.relowner
    LOOP EXECUTE 'GRANT ' || CASE one.privilege_type WHEN 'INSERT' THEN 'DELETE' WHEN 'DELETE' THEN 'INSERT'
        ELSE one.privilege_type END || ' ON erased TO ' || quote_ident(one.rolname); END LOOP;
END $$;
""",
    """
ALTER TABLE thumbnails ALTER content DROP NOT NULL, ADD name uuid, ADD size integer;  -- of an object elsewhere
ALTER TABLE thumbnails ADD CHECK (num_nulls(content, name) = 1);
CREATE UNIQUE INDEX thumbnails_name ON thumbnails (name) WHERE name IS NOT NULL;
CREATE TABLE leaving (name uuid PRIMARY KEY);  -- objects of erased records, until they are removed
CREATE FUNCTION object_leaves() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
    $$ BEGIN INSERT INTO leaving VALUES (OLD.name); RETURN NULL; END $$;
CREATE TRIGGER object_leaves AFTER DELETE ON thumbnails FOR EACH ROW WHEN (OLD.name IS NOT NULL)
    EXECUTE FUNCTION object_leaves();
""",
    """
CREATE TABLE slots (  -- of records; "change" is the number of the event that changed it last, see slots.py
    slot integer PRIMARY KEY, id uuid UNIQUE REFERENCES records ON DELETE SET NULL, change bigint NOT NULL
);
INSERT INTO slots SELECT row_number() OVER (), id, 1 FROM records;
CREATE INDEX slots_change ON slots (change, slot);
CREATE INDEX slots_free ON slots (slot) WHERE id IS NULL;
DO $$ DECLARE one record; BEGIN  -- who may name records may note it
    FOR one IN SELECT r.rolname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
        JOIN pg_roles r ON r.oid = a.grantee WHERE c.oid = 'labels'::regclass AND a.grantee <> c.relowner
    LOOP EXECUTE 'GRANT ' || one.privilege_type || ' ON slots TO ' || quote_ident(one.rolname); END LOOP;
END $$;
CREATE FUNCTION slots_follow() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN
    IF NEW.action IN ('add', 'enrol', 'merge', 'split', 'erase', 'expire')
        AND NOT EXISTS (SELECT 1 FROM slots WHERE change = NEW.number)
    THEN RAISE EXCEPTION 'this program does not know the format of the gallery: install a newer resight there'; END IF;
    RETURN NULL; END $$;
CREATE TRIGGER slots_follow AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION slots_follow();
""",
)
FORMAT = len(MIGRATIONS)  # of what is written here; in ``meta`` as "format"
