# Where the disk of history is full or failing, the present goes on; history waits, says so, and goes on by itself.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataFaults;
use Test::More;

my $node = new_faulty_node('full', fsync => 'on', log_statement => 'none', 'strata.memtable_size' => "'4MB'", max_wal_size => "'1GB'");
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE steps (n int);
CREATE TABLE many (id int PRIMARY KEY, filler text);
INSERT INTO many SELECT i, repeat('f', 400) FROM generate_series(1, 4000) i;
SQL

my $step = 0;

# Some MB of history, by a session that must not notice anything.
sub load
{
	my ($out, $error) = try_sql($node,
		"CHECKPOINT; UPDATE many SET filler = 'a$step ' || repeat('g', 400); INSERT INTO steps VALUES ($step); VACUUM many");
	++$step;
	return $error;
}

sub moment { return { time => now_in($node), steps => $step } }

sub seen_at
{
	my ($moment) = @_;
	return at($node, $moment->{time}, 'SELECT count(*) FROM steps; SELECT count(*), max(left(filler, 3)) FROM many');
}

my $leftover = q{
SELECT count(*) FROM (SELECT pg_ls_dir('pg_strata') AS file) f
WHERE file NOT IN ('MANIFEST', 'OWNER') AND file NOT IN (SELECT name FROM strata.layers())};

load() for 1 .. 2;
for my $case (
	[ 'no room to write layers', 'ENOSPC', 'write', '/delta0', qr/could not write "pg_strata\/delta0.*No space left/ ],
	[ 'no room to create files', 'ENOSPC', 'create', 'pg_strata/', qr/could not open "pg_strata\/.*No space left/, ],
	[ 'no room for the manifest', 'ENOSPC', 'write', '/MANIFEST', qr/could not write "pg_strata\/MANIFEST.*No space left/ ],
	[ 'a layer that cannot be synced', 'EIO', 'sync', '/delta0', qr/could not fsync "pg_strata\/delta0.*Input\/output error/ ],
	[ 'a manifest that cannot be synced', 'EIO', 'sync', '/MANIFEST', qr/could not fsync "pg_strata\/MANIFEST.*Input\/output error/ ],
	[ 'a directory that cannot be synced', 'EIO', 'sync', '$/pg_strata', qr/could not fsync directory "pg_strata"/ ],
	[ 'a quota', 'EDQUOT', 'write create', 'pg_strata/', qr/could not (open|write) "pg_strata\/.*Disk quota exceeded/ ])
{
	my ($what, $error, $operations, $path, $message) = @$case;
	my $before = moment();
	load();
	my $seen = seen_at($before);
	my $log = -s $node->logfile;
	fail_io($error, $operations, $path);

	my @errors;
	for (1 .. 60)
	{
		push @errors, load();
		last if state_of($node, 'last_error IS NOT NULL') eq 't';
	}
	is(join('', @errors), '', "$what: sessions of the present go on without an error");
	cmp_ok(failed_calls(), '>', 0, "$what: calls have failed");
	like(state_of($node, 'last_error'), $message, "$what: strata.status() says which file and why");
	like(state_of($node, "state || ': ' || hint"), qr/^running: History goes on by itself/, "$what: and what becomes of it");
	ok($node->wait_for_log(qr/WARNING:  strata: history is held up: $message/, $log), "$what: the log says so too");
	push @errors, load() for 1 .. 3;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM steps'), $step, "$what: what is committed stays committed");
	is(join('', @errors), '', "$what: for as long as it lasts");
	is(seen_at($before), $seen, "$what: moments from before can be reached meanwhile");
	my $during = moment();
	my ($out, $waited) = try_sql($node, "SET statement_timeout = '1s'; SET strata.travel_time = '$during->{time}'");
	like($waited, qr/WARNING:  01000: waiting for history, which is held up\n(LOCATION.*\n)?DETAIL:  $message/, "$what: a session that wants a later moment waits, and is told why");
	like($waited, qr/57014: canceling statement/, "$what: and can be canceled");

	heal_io();
	my $lsn = lsn_in($node);
	is($node->safe_psql('postgres', "SELECT strata.wait_for('$lsn') >= '$lsn'"), 't', "$what: history goes on by itself once it is over");
	ok($node->poll_query_until('postgres', 'SELECT last_error IS NULL FROM strata.status()'), "$what: and has no error any more");
	ok($node->wait_for_log(qr/strata: history goes on/, $log), "$what: which the log says too");
	like(seen_at($during), qr/^$during->{steps}\n4000\|a/, "$what: a moment from meanwhile can be reached");
	ok($node->poll_query_until('postgres', $leftover, 0), "$what: no file is left over");
}

# A merge that finds no room.
my $log = -s $node->logfile;
fail_io('ENOSPC', 'write', '/delta1');
for (1 .. 60)
{
	load();
	last if failed_calls() > 0;
}
ok($node->wait_for_log(qr/WARNING:  strata: layers could not be merged: could not write "pg_strata\/delta1/, $log), 'a merge without room is given up, and says so');
is(load(), '', 'the present goes on');
my $lsn = lsn_in($node);
$node->safe_psql('postgres', "SELECT strata.wait_for('$lsn')");
is(state_of($node, 'state, last_error'), 'running|', 'and so does history');
heal_io();
ok($node->poll_query_until('postgres', 'SELECT coalesce(max(runs), 0) < 8 FROM (SELECT count(DISTINCT lsn_begin) AS runs FROM strata.layers() WHERE NOT image GROUP BY level) l'),
	'layers are merged once there is room');
ok($node->poll_query_until('postgres', $leftover, 0), 'no file is left over');
no_mismatch($node, 'after all this every page rebuilt from history equals the present');
log_is_clean($node);
$node->stop;

# The baseline finds no room.
my $new = new_faulty_node('new', log_statement => 'none', start => 0);
fail_io('ENOSPC', 'write', '/image1');
start_faulty($new);
is($new->safe_psql('postgres', 'CREATE EXTENSION strata; SELECT count(*) FROM pg_class WHERE relname = \'pg_class\''), 1, 'a server whose baseline finds no room runs');
$new->poll_query_until('postgres', 'SELECT last_error IS NOT NULL FROM strata.status()');
like(state_of($new, 'last_error'), qr/could not write "pg_strata\/image1.*No space left/, 'strata.status() says so');
like((try_sql($new, "SET strata.travel_time = 'now'"))[1], qr/55000: history has not begun yet\n.*could not write "pg_strata\/image1.*No space left.*\n.*by itself/s, 'travel says so');
heal_io();
wait_for_history($new);
is(state_of($new, 'state, last_error'), 'running|', 'history begins by itself once there is room');
is($new->safe_psql('postgres', $leftover), 0, 'no file is left over');
no_mismatch($new, 'and every page can be rebuilt');
log_is_clean($new);
$new->stop;
done_testing();
