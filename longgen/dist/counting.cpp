#include "longgen/dist/counting.h"

#include "longgen/base/check.h"

namespace longgen {
namespace {

class NoWork : public Pending::Work {
 public:
  void wait() override {}
};

}  // namespace

int64_t SentBytes::total() const {
  int64_t bytes = 0;
  for (const auto& [rank, sent] : by_link) bytes += sent;
  return bytes;
}

CountingCommunicator::CountingCommunicator(int rank, int num_ranks)
    : rank_(rank), num_ranks_(num_ranks) {
  LG_CHECK(rank >= 0 && rank < num_ranks, "expected a rank from 0 to ", num_ranks - 1, ", found ",
           rank, ".");
}

CountingCommunicator::CountingCommunicator(Communicator& transport)
    : rank_(transport.rank()), num_ranks_(transport.num_ranks()), transport_(&transport) {}

Pending CountingCommunicator::start(Call call) {
  for (const Send& send : call.sends) {
    const auto bytes = static_cast<int64_t>(send.bytes.size());
    sent_.by_kind[call.kind] += bytes;
    sent_.by_link[send.to] += bytes;
  }
  if (transport_ == nullptr) return Pending(std::make_unique<NoWork>());
  return pass_on(*transport_, std::move(call));
}

}  // namespace longgen
