# A base backup, an incremental one and a copy start by themselves with strata on: history goes on where that is proven, and else
# begins anew. It never shows another life's rows, and no slot keeps WAL that history does not come to read.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $letters = 'SELECT letter, count(*) FROM t GROUP BY 1 ORDER BY 1';
my $limit = 96 * 1024 * 1024;
my $node = new_node('origin',
	'strata.memtable_size' => "'4MB'",
	summarize_wal => 'on',
	max_wal_size => "'64MB'",
	min_wal_size => "'32MB'",
	wal_keep_size => 0,
	init => [ allows_streaming => 1 ]);
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t (a int, letter text)');

sub load_rows
{
	my ($server, $letter, $rows) = @_;
	$server->safe_psql('postgres', "INSERT INTO t SELECT i, '$letter' FROM generate_series(1, $rows) i");
	return;
}

# The name of a server that is made of a backup or a copy, which then lives a life of its own.
sub lives_its_own_life
{
	my ($copy, $then, $letters_then, $goes_on, $what) = @_;
	wait_for_history($copy);
	my $given_up = state_of($copy, 'given_up');
	$goes_on = $given_up eq '' unless defined $goes_on;
	note("$what: " . ($given_up eq '' ? 'history goes on' : "history began anew: $given_up"));
	if ($goes_on)
	{
		is($given_up, '', "$what: history goes on");
		is(at($copy, $then, $letters), $letters_then, "$what: a moment before it is what it was");
	}
	else
	{
		like($given_up, qr/^WAL at \S+ is gone|has lost its WAL|^WAL was lost/, "$what: status() says why history began anew");
		ok($copy->log_contains("strata: history was given up: \Q$given_up\E"), "$what: so does the log");
		like(at_error($copy, $then, $letters), qr/ERROR:  22023: .*history does not reach back that far/, "$what: a moment before it is refused");
	}
	is(state_of($copy, 'state, last_error'), 'running|', "$what: history runs");
	is(at($copy, now_in($copy), $letters), $copy->safe_psql('postgres', $letters), "$what: now is what it is");

	my $before = now_in($copy);
	my $letters_before = $copy->safe_psql('postgres', $letters);
	load_rows($copy, 'C', 60000);
	is(at($copy, $before, $letters), $letters_before, "$what: what comes next can be travelled");
	$copy->safe_psql('postgres', 'INSERT INTO t VALUES (0); SELECT pg_switch_wal()') for 1 .. 12;
	$copy->safe_psql('postgres', 'SELECT strata.wait_for(pg_current_wal_insert_lsn()); CHECKPOINT');
	ok($copy->poll_query_until('postgres', kept_bytes() . " < $limit"), "$what: the slot moves");
	$copy->safe_psql('postgres', 'CHECKPOINT');
	cmp_ok($copy->safe_psql('postgres', 'SELECT sum(size) FROM pg_ls_waldir()'), '<=', 2 * $limit, "$what: pg_wal does not grow");
	no_mismatch($copy, "$what: every page is right");
	log_is_clean($copy);
	$copy->stop;
	return;
}

sub start_backup
{
	my ($name, @options) = @_;
	my $copy = PostgreSQL::Test::Cluster->new("from_$name");
	$copy->init_from_backup($node, $name, @options);
	$copy->start;
	return $copy;
}

load_rows($node, 'A', 100000);
my $then = now_in($node);
my $letters_then = 'A|100000';
$node->backup('full');
load_rows($node, 'B', 100000);
$node->backup('incremental', backup_options => [ '--incremental' => $node->backup_dir . '/full/backup_manifest' ]);

my ($out, $error) = run_command([ 'pg_strata', 'stat', $node->data_dir ]);
like($out, qr/^system identifier \d+, timeline 1\nhorizon \S+, flushed up to \S+\nfirst moment \d{4}-\S+ \S+, last commit \d{4}-\S+ \S+\n/,
	'pg_strata stat says what a store belongs to');

lives_its_own_life(start_backup('full'), $then, $letters_then, undef, 'a base backup');
lives_its_own_life(start_backup('incremental', combine_with_prior => ['full']), $then, $letters_then, undef, 'a combined backup');

# A copy of a stopped and of a crashed server is whole: history goes on in both.
for my $mode ('fast', 'immediate')
{
	load_rows($node, 'B', 1000);
	$then = now_in($node);
	$letters_then = $node->safe_psql('postgres', $letters);
	$node->stop($mode);
	$node->backup_fs_cold("stopped_$mode");
	$node->start;
	wait_for_history($node);
	load_rows($node, 'D', 60000);
	lives_its_own_life(start_backup("stopped_$mode"), $then, $letters_then, 1, "a copy of a server stopped with -m $mode");
	is(at($node, $then, $letters), $letters_then, 'the origin goes on, too');
	is(at($node, now_in($node), $letters), $node->safe_psql('postgres', $letters), 'and has its own rows only');
}

# By order.
$node->safe_psql('postgres', 'CREATE ROLE nobody');
sql_fails($node, 'SET ROLE nobody; SELECT strata.begin_anew()', qr/ERROR:  42501/, 'not everybody may begin history anew');
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA strata TO nobody; GRANT EXECUTE ON FUNCTION strata.begin_anew() TO nobody');
sql_fails($node, 'SET ROLE nobody; SELECT strata.begin_anew()', qr/ERROR:  42501/, 'nor may who was granted the function');
like(at_error($node, $then, 'SELECT strata.begin_anew()'), qr/ERROR:  55000: .*cannot begin history anew while travelling/, 'nor a session in the past');
is(at($node, $then, $letters), $letters_then, 'nothing has come of it');
my $old_horizon = state_of($node, 'horizon_lsn');
$node->safe_psql('postgres', 'SELECT strata.begin_anew()');
$node->poll_query_until('postgres', "SELECT state = 'running' AND horizon_lsn > '$old_horizon' FROM strata.status()")
  or die 'history has not begun anew';
is(state_of($node, 'given_up, given_up_time <= now()'), 'strata.begin_anew() was called|t', 'a superuser begins it anew');
like(at_error($node, $then, $letters), qr/ERROR:  22023: .*history does not reach back that far/, 'the old history is gone');
no_mismatch($node, 'the new one has every page');
no_file_is_left_over($node);
log_is_clean($node);
$node->stop;
done_testing();
