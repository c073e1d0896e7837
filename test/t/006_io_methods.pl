# Every io_method of PostgreSQL 18, with data checksums and without, in the present and in the past.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my @queries = (
	'a sequential scan' => 'SELECT count(*), sum(a), sum(length(b)) FROM t',
	'a bitmap scan' => 'SELECT count(*), sum(a) FROM t WHERE a % 10 = 7 AND a BETWEEN 100 AND 2500',
	'TOAST' => 'SELECT md5(string_agg(big, NULL ORDER BY a)) FROM toasted');

sub fill
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, repeat('b', 300) FROM generate_series(1, 6000) i;
CREATE TABLE toasted (a int, big text STORAGE EXTERNAL);
INSERT INTO toasted SELECT i, repeat(md5(i::text), 1000) FROM generate_series(1, 20) i;
SQL
	return remember($node, 'postgres', @queries);
}

sub spoil
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'UPDATE t SET b = a WHERE a % 2 = 0; DELETE FROM t WHERE a % 3 = 0; TRUNCATE toasted');
	$node->safe_psql('postgres', 'VACUUM t');
	return;
}

# Small shared buffers, so that pages are read again and again.
my $node = new_node('methods', shared_buffers => "'2MB'", io_method => 'sync');
my $first = fill($node);
spoil($node);

for my $method ('sync', 'worker', 'io_uring')
{
	$node->stop;
	$node->append_conf('postgresql.conf', "io_method = $method");
	unless ($node->start(fail_ok => 1))
	{
		my ($reason) = slurp_file($node->logfile) =~ /.*(could not setup io_uring[^\n]*)/s;
	  SKIP:
		{
			skip("io_uring is not available: $reason", 1) if $method eq 'io_uring' && defined $reason;
			fail("the server starts with io_method = $method");
		}
		$node->append_conf('postgresql.conf', 'io_method = worker');
		$node->start;
		next;
	}
	is($node->safe_psql('postgres', 'SHOW io_method'), $method, "io_method = $method is in effect");
	still_holds($first, "of the past works with io_method = $method");
	$node->safe_psql('postgres', 'DROP TABLE t, toasted');
	my $again = fill($node);
	spoil($node);
	still_holds($again, "of what was written with io_method = $method works");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), 4000, "the present works with io_method = $method");
}

# Checksums switched off and on below an existing history.
for my $switch ('disable', 'enable')
{
	$node->stop;
	command_ok([ 'pg_checksums', "--$switch", '-D', $node->data_dir, '--no-sync' ], "pg_checksums --$switch");
	$node->start;
	still_holds($first, "of the past works after pg_checksums --$switch");
	$node->safe_psql('postgres', 'UPDATE t SET b = length(b)');
}
no_mismatch($node);
log_is_clean($node);
$node->stop;

my $without = new_node('without_checksums', init => [ extra => ['--no-data-checksums'] ], shared_buffers => "'2MB'");
is($without->safe_psql('postgres', 'SHOW data_checksums'), 'off', 'a cluster without checksums');
my $past = fill($without);
spoil($without);
still_holds($past, 'of the past works without checksums');
no_mismatch($without, 'every page rebuilt from history equals the present without checksums');
log_is_clean($without);
$without->stop;
done_testing();
