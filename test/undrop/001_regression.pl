# Every table of PostgreSQL's regression database: DROP CASCADE, undrop, and pg_dump sees no difference.
use strict;
use warnings;

use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataUndrop;
use Test::More;

my $suite = "$ENV{STRATA_POSTGRESQL}/source/src/test/regress";
my $out = "$PostgreSQL::Test::Utils::tmp_check/regress";
make_path(map { "$out/$_" } qw(sql expected results testtablespace));
my $node = new_node(
	'undrop_regression',
	wal_level => 'logical',
	max_connections => 40,
	max_locks_per_transaction => 500,
	search_path => q('"$user", public'),
	shared_buffers => "'256MB'",
	fsync => 'off',
	init => [ extra => ['--no-locale'] ]);

# Some of its tests may fail, for example by logical decoding of what they expect to be off: only what they leave behind counts.
system_log($ENV{PG_REGRESS},
	"--dlpath=$ENV{STRATA_POSTGRESQL}/build/src/test/regress",
	'--bindir=', '--host=' . $node->host, '--port=' . $node->port,
	"--schedule=$suite/parallel_schedule", '--max-concurrent-tests=20',
	"--inputdir=$suite", "--expecteddir=$suite", "--outputdir=$out");
$node->safe_psql('regression', 'CREATE EXTENSION strata');

# What DDL cannot make again: see "What does not come back" in doc/decisions/0022-undrop.md.
my %order_of_columns = map { $_ => 'columns that a parent got later than its child stand elsewhere' }
  qw(b_star c_star d_star e_star f_star cc2 gtestxx_4 renamecolumnanother renamecolumnchild test_type_diff2_c1 test_type_diff2_c2 test_type_diff_c);
my %known = (
	%order_of_columns,
	spgist_unlogged_tbl => 'rows of unlogged tables are not in history',
	(map { $_ => 'a partition that is attached gets the indexes of its parent' }
		  qw(idxpart2_a_idx idxpart2_a_idx1 idxpart21_a_idx idxpart21_a_idx1 idxpart22_a_idx idxpart22_a_idx1)));

my @tables = split /\n/, $node->safe_psql('regression', <<'SQL');
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'strata', 'pg_toast')
ORDER BY c.oid
SQL
cmp_ok(scalar @tables, '>', 700, 'the regression database has tables of every kind: ' . @tables);
my $before = dump_of($node, 'regression');
my $failed = 0;
for my $table (@tables)
{
	my ($rows, $error) = try_sql($node,
		"DROP TABLE $table CASCADE;\nSELECT * FROM strata.undrop(\$\$$table\$\$) WHERE outcome <> 'restored' OR reason !~ '^[0-9]+ rows?\$'",
		db => 'regression', options => '-c client_min_messages=warning', stop => 1);
	$rows = '' if $rows =~ /without rows: history has none of unlogged tables$/;
	next if "$rows$error" eq '';
	$failed++;
	diag("$table: $rows$error");
}
is($failed, 0, 'each of them comes back with all that went with it');
my $after = dump_of($node, 'regression');
my @different = grep { my ($name) = /^Name: (?:TABLE |COLUMN )?(\S+?)(?:;|\.)/; ($before->{$_} // '') ne ($after->{$_} // '') && !exists $known{$name} } sort keys %{ { %$before, %$after } };
is(differences({ map { $_ => $before->{$_} } @different }, { map { $_ => $after->{$_} } @different }), '', 'pg_dump sees no difference');
diag(sprintf '%d tables, %d failed, %d of %d entries of the dump differ', scalar @tables, $failed, scalar @different, scalar keys %$before);
$node->stop;
done_testing();
