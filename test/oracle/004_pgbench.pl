# pgbench, while other clients create, rewrite, reindex, vacuum and drop; commits whose timestamps are out of order.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StrataConsistency;
use StrataOracle;
use StrataSuites;
use Test::More;

my $workload = sub { my ($node, $oracle) = @_; run_pgbench($node, $oracle, 20); };
my %conf = (autovacuum => 'on');
pitr_test('pgbench', $workload, conf => \%conf, anywhere => 8, odd => 12, commits => 4, disorder => 8);
wal_test('pgbench', $workload, conf => \%conf);
done_testing();
