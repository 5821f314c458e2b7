#include "longgen/serve/answer_plan.h"

#include <algorithm>

#include "longgen/base/random.h"

namespace longgen {

bool AnswerPlan::has_prompt_logprobs(int64_t choice) const {
  if (echo && logprobs) return true;
  // A chat has one place for them, whatever the number of its choices.
  return prompt_logprobs && (route == Route::completion || choice == 0);
}

int64_t AnswerPlan::num_prompt_logprobs() const {
  return std::max(echo ? logprobs.value_or(0) : 0, prompt_logprobs.value_or(0));
}

Submit AnswerPlan::submit(int64_t choice, RequestId id) const {
  Submit submit{{.id = id,
                 .prompt = prompt_of(choice).tokens,
                 .max_new_tokens = std::max<int64_t>(max_tokens, 1),
                 .priority = priority,
                 .salt = salt},
                draw};
  const int64_t place = choice % choices_per_prompt;
  if (place > 0) {
    submit.draw.sampling.seed = mix_pair(draw.sampling.seed, static_cast<uint64_t>(place));
  }
  submit.draw.tells_progress = draw.tells_progress && choice == 0;
  if (has_prompt_logprobs(choice)) {
    submit.draw.num_prompt_logprobs = num_prompt_logprobs();
    submit.request.reads_prefixes = false;
  }
  return submit;
}

}  // namespace longgen
