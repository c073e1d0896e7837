# What goes wrong in redo ends at most one session, or one worker's job, and is not tried again.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('faults',
	'strata.compaction' => 'off', 'strata.merge_threshold' => 2, 'strata.memtable_size' => "'4MB'",
	shared_preload_libraries => "'$ENV{STRATA_TEST_LIBRARIES}/strata_test_redo_faults.so'");
my $log_at_start = -s $node->logfile;
my %expected = (
	segv => qr/redo failed with signal 11: Segmentation fault/,
	midway => qr/redo failed with signal 11: Segmentation fault/,
	fpe => qr/redo failed with signal 8: /,
	ill => qr/redo failed with signal 4: /,
	abort => qr/redo failed with signal 6: Aborted/,
	smash => qr/redo failed with signal 11: Segmentation fault/,
	recurse => qr/redo failed with signal 11: Segmentation fault/,
	loop => qr/redo failed with it took more than \d+ seconds/);

$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE EXTENSION bloom; CREATE EXTENSION pageinspect; CREATE TABLE beside AS SELECT i FROM generate_series(1, 1000) i');
my @tables = (sort(keys %expected), 'error', 'panic', 'merged');
for my $table (@tables)
{
	$node->safe_psql('postgres', "CREATE TABLE t_$table (a int, b int); CREATE INDEX i_$table ON t_$table USING bloom (a, b)");
	$node->safe_psql('postgres', "INSERT INTO t_$table SELECT i, i FROM generate_series(1, 10) i");
	$node->safe_psql('postgres', "INSERT INTO t_$table VALUES ($_, $_)") for 11 .. 14;
}
my $moment = reached_lsn($node);
my $pages = "SELECT string_agg(md5(get_raw_page('i_' || t, 1)), ',' ORDER BY t) FROM unnest('{" . join(',', @tables) . "}'::text[]) t";
my $now = $node->safe_psql('postgres', $pages);
is(at_lsn($node, $moment, $pages), $now, 'pages of bloom indexes are rebuilt as they are');
# Another moment, whose pages are in nobody's buffers.
$node->safe_psql('postgres', 'INSERT INTO beside VALUES (0)');
$moment = reached_lsn($node);

sub visit
{
	my ($fault, $table) = @_;
	return try_sql($node, "SET strata_test.redo_fault = '$fault'; SET strata.travel_lsn = '$moment'; SELECT 'an answer' FROM get_raw_page('i_$table', 1); SELECT 'still there'");
}

for my $fault (sort keys %expected)
{
	my ($out, $error) = visit($fault, $fault);
	like($error, qr/FATAL:  XX001: could not rebuild block 1 of relation base\/\d+\/\d+ at [0-9A-F\/]+: $expected{$fault}/, "$fault ends the session, and says of which page");
	is($out, '', "$fault: and nothing is shown");
	($out, $error) = visit('', $fault);
	like($error, qr/ERROR:  XX001: .*its redo has ended a process/, "$fault: the record is not tried again");
	is($out, 'still there', "$fault: that is an error, and the session goes on");
}
for my $fault ('error', 'panic')
{
	my ($out, $error) = visit($fault, $fault);
	like($error, qr/ERROR:  XX001: could not rebuild block 1 of relation .*redo (raises an error|panics)/, "$fault is an error");
	is($out, 'still there', "$fault: and the session goes on");
	is(at_lsn($node, $moment, "SELECT md5(get_raw_page('i_$fault', 1))"), $node->safe_psql('postgres', "SELECT md5(get_raw_page('i_$fault', 1))"),
		"$fault: it may be tried again");
}
is(state_of($node, 'redo_faults'), scalar(keys %expected), 'status() counts the records');
like(state_of($node, 'redo_fault'), qr/^block 1 of relation base\/\d+\/\d+ at [0-9A-F\/]+: signal 11: Segmentation fault$/, 'and names the last one');
is($node->safe_psql('postgres', $pages), $now, 'no page of the present is changed');

# A fault in the compaction worker. 200 versions in a row are rewritten, and so rebuilt.
$node->safe_psql('postgres', "INSERT INTO t_merged VALUES ($_, $_)") for 1 .. 5;
$node->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1 .. 400 LOOP INSERT INTO t_merged VALUES (i, i); COMMIT; END LOOP; END $$');
my $full = reached_lsn($node);
my $merged_page = "SELECT md5(get_raw_page('i_merged', 1))";
my $merged_now = $node->safe_psql('postgres', $merged_page);
my $log = -s $node->logfile;
$node->safe_psql('postgres', "ALTER SYSTEM SET strata_test.redo_fault = 'segv'");
$node->safe_psql('postgres', 'ALTER SYSTEM SET strata.compaction = on');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
# What fills memtables.
for my $round (1 .. 8)
{
	$node->safe_psql('postgres', "CREATE TABLE filler_$round AS SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 8000) i");
}
ok($node->wait_for_log(qr/FATAL:  could not rebuild block 1 of relation .*redo failed with signal 11/, $log), 'redo ends a worker');
ok($node->wait_for_log(qr/background worker "strata (compaction|flush|ingest)" \(PID \d+\) exited with exit code 1/, $log), 'which is no crash to the postmaster');
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM strata.layers() WHERE level > 0 AND NOT image"), 'the worker comes back, and merges go on');
ok($node->poll_query_until('postgres', "SELECT compaction_error IS NULL AND last_error IS NULL AND state = 'running' FROM strata.status()"), 'without an error');
my $before = state_of($node, 'redo_faults');
cmp_ok($before, '>', scalar(keys %expected), 'status() counts that record, too');
$node->safe_psql('postgres', "CREATE TABLE filler_last AS SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 30000) i");
reached_lsn($node);
is(state_of($node, 'redo_faults'), $before, 'no worker ends again');
like(at_lsn($node, $full, $merged_page), qr/ERROR:  XX001: .*its redo has ended a process/, 'that page is an error');
is(at_lsn($node, $full, 'SELECT sum(i) FROM beside'), 500500, 'other pages are as they were');
is($node->safe_psql('postgres', $merged_page), $merged_now, 'the present is as it was');

# A server that starts anew has forgotten: the versions are where they were.
$node->safe_psql('postgres', 'ALTER SYSTEM RESET strata_test.redo_fault');
$node->restart;
wait_for_history($node);
is(at_lsn($node, $full, $merged_page), $merged_now, 'once redo works again, the page is rebuilt from versions that nobody has lost');
is(at_lsn($node, $moment, $pages), $now, 'and so are the others');
unlike(slurp_file($node->logfile, $log_at_start), qr/terminating any other active server processes|was terminated by signal/, 'the server has not crashed');
$node->stop;
done_testing();
