# Records that ordinary work seldom or never writes: pages that become empty, are unlinked and used again in every kind of
# index, metapages, logs of transactions that fill pages and are truncated, what only wal_level = logical adds, changes of
# settings, restarts.
package StrataRareRecords;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(rare_records rare_records_conf);

# Settings beside those of StrataWorkload.
sub rare_records_conf
{
	return (
		wal_level => 'logical',
		max_replication_slots => 4,
		max_worker_processes => 9,
		track_commit_timestamp => 'on',
		# Recovery meets every record by itself: none hides behind a page image.
		checkpoint_timeout => "'1h'");
}

# Runs all of it. An oracle notes the moments in between.
sub rare_records
{
	my ($node, $oracle) = @_;
	my @parts = (
		btree => \&_btree, gin => \&_gin, hash => \&_hash, gist => \&_gist, spgist => \&_spgist, brin => \&_brin, heap => \&_heap,
		logical => \&_logical, server => \&_server, transactions => \&_transactions, truncation => \&_truncation);
	while (my ($what, $part) = splice(@parts, 0, 2))
	{
		$part->($node);
		$oracle->note_between("after rare records of $what") if $oracle;
	}
	return;
}

sub _run { my ($node, @statements) = @_; $node->safe_psql('postgres', $_) for @statements; return; }

# Deletes all of a tree but its last leaf, which becomes the fast root, and splits that again: UNLINK_PAGE_META,
# INSERT_META. What was unlinked is used again once no transaction can come across it: META_CLEANUP, REUSE_PAGE.
sub _btree
{
	my ($node) = @_;
	_run($node, <<'SQL', 'DELETE FROM b WHERE a < 19990', 'VACUUM b', 'SELECT pg_current_xact_id()', 'VACUUM b');
CREATE TABLE b (a int, t text);
CREATE INDEX b_a ON b (a);
CREATE INDEX b_t ON b (t) WITH (deduplicate_items = on);
INSERT INTO b SELECT i, 'equal' || i % 5 FROM generate_series(1, 20000) i;
SQL
	_run($node, 'INSERT INTO b SELECT i, $$more$$ || i % 3 FROM generate_series(19000, 30000) i', 'VACUUM b');
	_run($node, 'DELETE FROM b WHERE a % 3 = 0', 'VACUUM b', 'DELETE FROM b WHERE a BETWEEN 21000 AND 29000', 'VACUUM b',
		'SELECT pg_current_xact_id()', 'VACUUM b', 'INSERT INTO b SELECT i, $$again$$ FROM generate_series(1, 9000) i');
	# Items that scans found dead are deleted where a page would have to be split.
	_run($node, 'DELETE FROM b WHERE a < 5000', <<'SQL');
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM b WHERE a < 5000;
INSERT INTO b SELECT i, 'again' FROM generate_series(1, 5000) i;
SQL
	return;
}

# Entry tree and posting trees with and without the list of pending entries: splits, leaves that lose items, and that
# become empty.
sub _gin
{
	my ($node) = @_;
	_run($node, <<'SQL');
CREATE TABLE g (id int, a int[]);
CREATE INDEX g_direct ON g USING gin (a) WITH (fastupdate = off);
CREATE INDEX g_pending ON g USING gin (a) WITH (fastupdate = on, gin_pending_list_limit = 64);
INSERT INTO g SELECT i, ARRAY[i % 2, 10 + i % 5, 100 + i % 4000] FROM generate_series(1, 40000) i;
INSERT INTO g SELECT i, ARRAY[i % 2, 100000 + i] FROM generate_series(1, 5000) i;
SQL
	_run($node, 'DELETE FROM g WHERE id % 7 = 0', 'VACUUM g', 'DELETE FROM g WHERE id BETWEEN 8000 AND 36000', 'VACUUM g',
		'SELECT pg_current_xact_id()', 'VACUUM g', 'INSERT INTO g SELECT i, ARRAY[i % 2, i % 900] FROM generate_series(1, 9000) i',
		q{SELECT gin_clean_pending_list('g_pending')});
	return;
}

# Splits of buckets, chains of overflow pages that grow and are squeezed, items that scans found dead.
sub _hash
{
	my ($node) = @_;
	_run($node, <<'SQL');
CREATE TABLE h (a int, b int);
CREATE INDEX h_a ON h USING hash (a);
CREATE INDEX h_b ON h USING hash (b) WITH (fillfactor = 10);
INSERT INTO h SELECT i, i % 9 FROM generate_series(1, 12000) i;
INSERT INTO h SELECT 7, i FROM generate_series(1, 4000) i;
SQL
	_run($node, 'DELETE FROM h WHERE a = 7 AND b % 3 > 0', 'VACUUM h', 'DELETE FROM h WHERE a % 2 = 0', 'VACUUM h',
		'INSERT INTO h SELECT i, i FROM generate_series(12000, 26000) i', 'VACUUM h');
	_run($node, 'INSERT INTO h SELECT 5, 5 FROM generate_series(1, 900)', 'DELETE FROM h WHERE a = 5', <<'SQL', 'VACUUM h');
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM h WHERE a = 5;
SELECT count(*) FROM h WHERE b = 5;
INSERT INTO h SELECT 5, 5 FROM generate_series(1, 1800);
SQL
	return;
}

# Leaves that become empty and are used again, items that scans found dead.
sub _gist
{
	my ($node) = @_;
	_run($node, <<'SQL', 'DELETE FROM s WHERE id BETWEEN 2000 AND 16000', 'VACUUM s', 'SELECT pg_current_xact_id()', 'VACUUM s');
CREATE TABLE s (id int, p point);
CREATE INDEX s_p ON s USING gist (p);
INSERT INTO s SELECT i, point(i, i % 10) FROM generate_series(1, 20000) i;
SQL
	_run($node, 'SELECT pg_current_xact_id()', 'INSERT INTO s SELECT i, point(i, i % 9) FROM generate_series(1, 9000) i', 'DELETE FROM s WHERE p[0] < 1500', <<'SQL');
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM s WHERE p <@ box(point(-1, -1), point(1600, 20));
INSERT INTO s SELECT i, point(i % 1500, i % 10) FROM generate_series(1, 12000) i;
SQL
	return;
}

# Inner tuples that get nodes in place and by moving, prefixes that are split, a root that is a leaf, redirections that
# are no longer needed.
sub _spgist
{
	my ($node) = @_;
	_run($node, <<'SQL', 'DELETE FROM p WHERE id % 2 = 0', 'DELETE FROM small WHERE t < $$t5$$', 'VACUUM p', 'VACUUM small');
CREATE TABLE p (id int, t text);
CREATE INDEX p_t ON p USING spgist (t);
INSERT INTO p SELECT i, 'a long prefix that all of them have in common ' || md5(i::text) FROM generate_series(1, 4000) i;
INSERT INTO p SELECT i, 'a long prefix that some of them ' || chr(33 + i % 90) || chr(33 + i % 89) || chr(33 + i % 7) FROM generate_series(1, 9000) i;
INSERT INTO p SELECT i, chr(33 + i % 90) || repeat(chr(33 + i % 80), i % 40) || i FROM generate_series(1, 5000) i;
CREATE TABLE small (t text);
CREATE INDEX small_t ON small USING spgist (t);
INSERT INTO small SELECT 't' || i FROM generate_series(1, 40) i;
SQL
	# One label after the other: each is a node that no inner tuple has yet.
	_run($node, <<'SQL', 'SELECT pg_current_xact_id()', 'VACUUM p', 'INSERT INTO p SELECT i, md5(i::text) FROM generate_series(1, 3000) i', 'VACUUM p');
INSERT INTO p SELECT i, chr(200 + i % 600) || chr(200 + i / 600) || repeat('y', i % 90) FROM generate_series(1, 9000) i;
SQL
	return;
}

# A range map of several pages, summaries that no longer fit where they are, ranges without a summary.
sub _brin
{
	my ($node) = @_;
	_run($node, <<'SQL', 'VACUUM r', <<'SQL', 'VACUUM r');
CREATE TABLE r (a int, t text) WITH (fillfactor = 10);
CREATE INDEX r_t ON r USING brin (t) WITH (pages_per_range = 1);
INSERT INTO r SELECT i, 'x' FROM generate_series(1, 30000) i;
SQL
UPDATE r SET t = repeat('y', a % 150) WHERE a % 10 = 0;
SELECT brin_desummarize_range('r_t', 5), brin_desummarize_range('r_t', 700);
SELECT brin_summarize_new_values('r_t');
UPDATE r SET t = 'w' || a WHERE a % 50 = 0;
SQL
	return;
}

# Speculative insertions, chains of updates that others have locked, catalogs changed in place, images for hint bits.
sub _heap
{
	my ($node) = @_;
	_run($node, <<'SQL', 'CHECKPOINT', 'SELECT count(*) FROM u', 'VACUUM u', 'VACUUM (FREEZE, ANALYZE) u', 'CHECKPOINT', 'SELECT count(*) FROM u');
CREATE TABLE u (id int PRIMARY KEY, n int);
INSERT INTO u SELECT i, 0 FROM generate_series(1, 3000) i ON CONFLICT DO NOTHING;
INSERT INTO u SELECT i, 1 FROM generate_series(2000, 4000) i ON CONFLICT (id) DO UPDATE SET n = 2;
SQL
	# The one that locks follows the chain from the version of its snapshot to the newest.
	my $old = $node->background_psql('postgres');
	$old->query_safe('BEGIN ISOLATION LEVEL READ COMMITTED');
	my $updater = $node->background_psql('postgres');
	$updater->query_safe('BEGIN; UPDATE u SET n = n + 1 WHERE id <= 10');
	$old->query_safe('SELECT id FROM u WHERE id <= 10 FOR KEY SHARE');
	$updater->query_safe('COMMIT');
	$old->query_safe('COMMIT');
	$_->quit for ($old, $updater);
	return;
}

# What only wal_level = logical writes; a slot makes rewrites of catalogs leave mappings.
sub _logical
{
	my ($node) = @_;
	_run($node, q{SELECT pg_create_logical_replication_slot('slot', 'pgoutput')}, <<'SQL', 'VACUUM FULL pg_class', <<'SQL');
BEGIN;
CREATE TABLE l (a int);
ALTER TABLE l ADD b int;
INSERT INTO l VALUES (1, 2);
TRUNCATE l;
COMMIT;
TRUNCATE l;
SQL
SELECT pg_drop_replication_slot('slot');
SELECT pg_logical_emit_message(true, 'prefix', 'transactional'), pg_logical_emit_message(false, 'prefix', 'not');
SELECT pg_replication_origin_create('origin'), pg_replication_origin_create('other');
SELECT pg_replication_origin_advance('origin', '0/1234');
SELECT pg_replication_origin_session_setup('origin');
BEGIN;
SELECT pg_replication_origin_xact_setup('0/5678', now());
INSERT INTO l VALUES (3, 4);
COMMIT;
SELECT pg_replication_origin_session_reset();
SELECT pg_replication_origin_drop('other');
SQL
	return;
}

# A backup, other settings, a restart: records about the server.
sub _server
{
	my ($node) = @_;
	_run($node, q{SELECT pg_backup_start('rare', true) \g /dev/null
SELECT count(*) FROM pg_backup_stop(false)}, q{SELECT pg_create_restore_point('rare')}, 'SELECT pg_switch_wal()');
	my $full_page_writes = $node->safe_psql('postgres', 'SHOW full_page_writes');
	for my $value ($full_page_writes eq 'on' ? 'off' : 'on', $full_page_writes)
	{
		_run($node, "ALTER SYSTEM SET full_page_writes = $value", 'SELECT pg_reload_conf()');
		# The checkpointer writes the record when it has seen the new value, before it does anything else.
		$node->poll_query_until('postgres', "SELECT current_setting('full_page_writes') = '$value'") or die 'the setting has not changed';
		_run($node, 'CHECKPOINT');
	}
	_run($node, 'ALTER SYSTEM SET max_worker_processes = 8');
	$node->restart;
	return;
}

# Enough transactions, subtransactions and multixacts that their logs grow by whole segments.
sub _transactions
{
	my ($node) = @_;
	_run($node, 'CREATE TABLE m (id int) WITH (fillfactor = 50)', 'INSERT INTO m SELECT generate_series(1, 3000)');
	for my $part (0 .. 2)
	{
		_run($node, <<"SQL");
DO \$\$
BEGIN
  PERFORM FROM m WHERE id % 3 = $part FOR KEY SHARE;
  FOR i IN 1 .. 3000 LOOP
    BEGIN
      PERFORM FROM m WHERE id = i AND i % 3 = $part FOR NO KEY UPDATE;
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
  END LOOP;
END \$\$
SQL
	}
	_run($node, <<'SQL') for 1 .. 22;
DO $$
BEGIN
  FOR i IN 1 .. 50000 LOOP
    BEGIN
      PERFORM pg_logical_emit_message(true, '', '');
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
  END LOOP;
END $$
SQL
	return;
}

# The oldest transaction of all databases moves on, so the logs are cut off behind it.
sub _truncation
{
	my ($node) = @_;
	_run($node, 'ALTER DATABASE template0 ALLOW_CONNECTIONS true');
	my $databases = $node->safe_psql('postgres', 'SELECT datname FROM pg_database ORDER BY oid');
	$node->safe_psql($_, 'VACUUM FREEZE') for split /\n/, $databases;
	_run($node, 'ALTER DATABASE template0 ALLOW_CONNECTIONS false', 'CHECKPOINT');
	return;
}

1;
