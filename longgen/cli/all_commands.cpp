#include "longgen/cli/commands.h"

namespace longgen {

void add_all_commands(CommandSet& commands) {
  // Within a group the help shows the commands in this order.
  add_import(commands);
  add_measure(commands);
  add_convert(commands);
  add_info(commands);
  add_prepare(commands);
  add_compose(commands);
  add_tokenize(commands);
  add_extend(commands);
  add_generate(commands);
  add_chat(commands);
  add_serve(commands);
  add_eval(commands);
  add_score(commands);
  add_plan(commands);
  add_bench(commands);
  add_doctor(commands);
  add_help(commands);
  add_man(commands);
  add_completion(commands);
}

}  // namespace longgen
