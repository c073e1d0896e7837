#include "travellers/execute.h"

extern "C" {
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "parser/parse_node.h"
#include "parser/parse_param.h"
#include "pgstat.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
}

#include "pg/lsn_format.h"
#include "travel/session.h"
#include "travellers/answer.h"
#include "travellers/answers.h"
#include "travellers/row_sender.h"
#include "travellers/table_query.h"
#include "travellers/values.h"
#include "travellers/versions_query.h"

namespace strata::travellers {

namespace {

struct ParameterTypes {
  Oid* types;
  int count;
};

// Types that the caller's literals left open come from where they stand in the query.
void let_parser_choose(ParseState* state, void* argument) {
  auto* open = static_cast<ParameterTypes*>(argument);
  setup_parse_variable_parameters(state, &open->types, &open->count);
}

Oid type_of(const Parameter& parameter, int number) {
  if (parameter.type == UNKNOWNOID) return UNKNOWNOID;
  const Oid type = find_type(parameter.type, parameter.type_name);
  if (!OidIsValid(type)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                    errmsg("type %s of parameter $%d did not exist", parameter.type_name, number),
                    errhint("Pass it as text, and cast it in the query.")));
  }
  return type;
}

Datum value_of(const Parameter& parameter, Oid type) {
  if (parameter.null) return 0;
  if (!parameter.as_text) return parameter.value;
  Oid input = InvalidOid;
  Oid input_parameter = InvalidOid;
  getTypeInputInfo(type, &input, &input_parameter);
  return OidInputFunctionCall(input, const_cast<char*>(parameter.text), input_parameter, -1);
}

ParamListInfo values_of(const Query& query, const ParameterTypes& types) {
  ParamListInfo list = makeParamList(query.count);
  for (int i = 0; i < query.count; i++) {
    ParamExternData& value = list->params[i];
    // The parser did not meet it: it is not in the query.
    const bool open = i >= types.count || types.types[i] == UNKNOWNOID || types.types[i] == InvalidOid;
    value.ptype = open ? TEXTOID : types.types[i];
    value.value = value_of(query.parameters[i], value.ptype);
    value.isnull = query.parameters[i].null;
    value.pflags = PARAM_FLAG_CONST;
  }
  return list;
}

void run(const Query& query) {
  ParameterTypes types = {};
  types.count = query.count;
  types.types = static_cast<Oid*>(palloc0(sizeof(Oid) * static_cast<Size>(query.count + 1)));
  for (int i = 0; i < query.count; i++) types.types[i] = type_of(query.parameters[i], i + 1);

  SPIPrepareOptions preparation = {};
  preparation.parserSetup = let_parser_choose;
  preparation.parserSetupArg = &types;
  const SPIPlanPtr plan = SPI_prepare_extended(query.text, &preparation);
  if (plan == nullptr) elog(ERROR, "could not prepare the query: %s", SPI_result_code_string(SPI_result));
  if (list_length(SPI_plan_get_plan_sources(plan)) > 1) {
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("only one statement can be run at another moment")));
  }

  SPIExecuteOptions execution = {};
  execution.params = values_of(query, types);
  execution.must_return_tuples = true;
  execution.dest = make_row_sender();
  const int result = SPI_execute_plan_extended(plan, &execution);
  if (result < 0) elog(ERROR, "could not run the query: %s", SPI_result_code_string(result));
}

Query query_of(const Orders& orders, StringInfo message) {
  if (orders.kind == RequestKind::kQuery) return take_query(message);
  const Table table = take_table(message);
  if (orders.kind == RequestKind::kTable) return query_of_table(table);
  return query_of_versions(table, take_versions(message), orders.lsn);
}

void name_moment(void* argument) {
  errcontext("query at LSN %X/%X", LSN_FORMAT_ARGS(static_cast<const Orders*>(argument)->lsn));
}

}  // namespace

void execute(const Orders& orders, StringInfo message) {
  SetCurrentStatementStartTimestamp();
  StartTransactionCommand();
  if (travel::current_moment().lsn != orders.lsn) elog(ERROR, "the traveller is not where its session sent it");
  // A session's may be the one that cannot travel; the past does not change anyway.
  XactIsoLevel = XACT_READ_COMMITTED;
  // Neither the query nor a function of then gets at the session's other roles.
  SetUserIdAndSecContext(orders.role, orders.security_context | SECURITY_LOCAL_USERID_CHANGE);
  ErrorContextCallback callback = {error_context_stack, name_moment, const_cast<Orders*>(&orders)};
  error_context_stack = &callback;

  SPI_connect();
  PushActiveSnapshot(GetTransactionSnapshot());
  const Query query = query_of(orders, message);
  pgstat_report_activity(STATE_RUNNING, query.text);
  run(query);
  if (query.rows != nullptr) tuplestore_end(query.rows);
  PopActiveSnapshot();
  SPI_finish();

  error_context_stack = callback.previous;
  SetUserIdAndSecContext(GetOuterUserId(), 0);
  CommitTransactionCommand();
  send_answer(&kDone, 1, nullptr, 0, true);
}

}  // namespace strata::travellers
