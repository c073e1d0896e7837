# At 20 moments of the seeded random workload amcheck and pg_visibility find nothing wrong in any relation of any database.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataWorkload;
use Test::More;

my $seed = $ENV{ORACLE_SEED} // int rand 1_000_000;
diag("seed $seed: repeat with ORACLE_SEED=$seed");
my $node = new_node('random', workload_conf());
$node->safe_psql('template1', "CREATE EXTENSION $_") for qw(strata amcheck pg_visibility);
$node->safe_psql('postgres', "CREATE EXTENSION $_") for qw(strata amcheck pg_visibility pg_walinspect);
prepare_workload($node);
my $begin = lsn_in($node);
run_scripts($node, workload_scripts($seed, 3, 60));
my $end = $node->safe_psql('postgres', 'CHECKPOINT; SELECT pg_current_wal_insert_lsn()');

# Ends of records anywhere in WAL.
srand($seed);
my $bytes = $node->safe_psql('postgres', "SELECT ('$end'::pg_lsn - '$begin'::pg_lsn)::bigint");
my %moments = ($end => 'the end');
while (keys %moments < 20)
{
	# Behind a switch to the next file there is no record for a while.
	my ($status, $row) = $node->psql('postgres',
		"SELECT end_lsn, resource_manager || ' ' || record_type FROM pg_get_wal_record_info('$begin'::pg_lsn + " . int(rand $bytes) . ')');
	my ($lsn, $what) = split /\|/, $row // '';
	$moments{$lsn} = "after $what" if $status == 0;
}

my $everything = q{
SELECT count(*) > 100 AND count(*) = count(CASE WHEN amname = 'btree' THEN bt_index_check(c.oid, true)::text ELSE gin_index_check(c.oid)::text END)
FROM pg_class c JOIN pg_index i ON indexrelid = c.oid JOIN pg_am am ON am.oid = relam
WHERE c.relkind = 'i' AND amname IN ('btree', 'gin') AND indisvalid AND relpersistence = 'p';
SELECT string_agg(format('%s: %s', c.oid::regclass, v), ';')
FROM pg_class c, verify_heapam(c.oid, check_toast => true) v WHERE relkind IN ('r', 't', 'm') AND relpersistence = 'p';
SELECT string_agg(format('%s: %s', c.oid::regclass, v), ';')
FROM pg_class c, pg_check_visible(c.oid) v WHERE relkind IN ('r', 't', 'm') AND relpersistence = 'p';
SELECT string_agg(format('%s: %s', c.oid::regclass, v), ';')
FROM pg_class c, pg_check_frozen(c.oid) v WHERE relkind IN ('r', 't', 'm') AND relpersistence = 'p';
};
my %now = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT datname, oid FROM pg_database WHERE datallowconn');
my $databases = 0;
for my $lsn (sort keys %moments)
{
	# Those that were there then and are there still.
	my @both = map { (split /\|/)[0] } grep { $now{$_} }
	  split /\n/, at_lsn($node, $lsn, 'SELECT datname, oid FROM pg_database WHERE datallowconn AND datconnlimit <> -2');
	my $found = '';
	for my $db (@both)
	{
		++$databases;
		my $answer = at_lsn($node, $lsn, $everything, $db);
		$found .= "$db: $answer\n" if $answer ne "t\n\n\n";
	}
	is($found, '', "nothing is wrong in " . join(', ', @both) . " at $lsn, $moments{$lsn}");
}
cmp_ok($databases, '>=', 40, 'several databases have been looked at, at 20 moments');

# What the workload leaves prepared holds locks.
for (split /\n/, $node->safe_psql('postgres', 'SELECT database, gid FROM pg_prepared_xacts'))
{
	my ($db, $gid) = split /\|/;
	$node->safe_psql($db, "ROLLBACK PREPARED '$gid'");
}
no_mismatch($node);
log_is_clean($node, 'could not find a valid record|pg_get_wal_record_info');
$node->stop;
done_testing();
