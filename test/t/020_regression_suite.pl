# PostgreSQL's own regression suite and pgbench with strata on; then every page of every database is rebuilt from history.
use strict;
use warnings;

use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $suite = "$ENV{STRATA_POSTGRESQL}/source/src/test/regress";
my $out = "$PostgreSQL::Test::Utils::tmp_check/regress";
make_path(map { "$out/$_" } qw(sql expected results testtablespace));

my $node = new_node(
	'regression',
	autovacuum => 'on',
	max_connections => 40,
	search_path => q('"$user", public'),
	shared_buffers => "'128MB'",
	'strata.memtable_size' => "'8MB'",
	init => [ extra => ['--no-locale'] ]);

my @command = (
	$ENV{PG_REGRESS},
	"--dlpath=$ENV{STRATA_POSTGRESQL}/build/src/test/regress",
	'--bindir=', '--host=' . $node->host, '--port=' . $node->port,
	"--schedule=$suite/parallel_schedule", '--max-concurrent-tests=20',
	"--inputdir=$suite", "--expecteddir=$suite", "--outputdir=$out");
my $passed = system_log(@command) == 0;
ok($passed, "PostgreSQL's own regression suite passes with strata on");
diag(slurp_file("$out/regression.diffs")) if !$passed && -f "$out/regression.diffs";

$node->command_ok([ 'pgbench', '-i', '-s', '2', '-q', 'postgres' ], 'pgbench fills its tables');
$node->command_ok([ 'pgbench', '-n', '-c', '4', '-T', '10', 'postgres' ], 'pgbench runs with strata on');

my ($pages, $calls) = no_mismatch($node, 'after the regression suite and pgbench, every page rebuilt at the last LSN equals PostgreSQL\'s own');
diag("compared $pages pages, rebuilt with $calls redo calls");
cmp_ok($pages, '>', 10000, 'the oracle compared the pages of the whole suite');
log_is_clean($node, 'regress|test');
$node->stop;

done_testing();
