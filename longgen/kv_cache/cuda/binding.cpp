#include "longgen/kv_cache/cuda/binding.h"

#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>

#include "longgen/attention/cuda/head_rows.h"
#include "longgen/attention/cuda/work_lists.h"
#include "longgen/attention/operator.h"
#include "longgen/base/check.h"
#include "longgen/kv_cache/cuda/device_memory.h"
#include "longgen/kv_cache/cuda/kernels.h"
#include "longgen/kv_cache/cuda/page_format.h"
#include "longgen/kv_cache/cuda/pinned_memory.h"

namespace longgen::cuda {
namespace {

static_assert(kBlock == Pattern::kBlock);

void check_error(cudaError_t error, const char* operation) {
  LG_CHECK(error == cudaSuccess, "[", operation, "] CUDA: ", cudaGetErrorString(error), ".");
}

cudaStream_t stream() { return at::cuda::getCurrentCUDAStream(); }

/// Throws Error where x is not (rows, heads, 64 or 128) in bf16 on a GPU.
void check_heads(const char* name, const at::Tensor& x, int64_t rows) {
  LG_CHECK(x.dim() == 3 && x.size(0) == rows && (x.size(2) == 64 || x.size(2) == 128) &&
               x.scalar_type() == at::kBFloat16 && x.is_cuda(),
           "[kv cache] on a GPU expected ", rows, " rows of heads of 64 or 128, bfloat16, found ",
           describe(name, x), ".");
}

void check_groups(int64_t num_heads, const PassTables& tables) {
  LG_CHECK(num_heads > 0 && num_heads % tables.num_kv_heads() == 0, "[kv cache] num_heads ",
           num_heads, " is not a multiple of num_kv_heads ", tables.num_kv_heads(), ".");
}

/// The weight of a norm as aligned() gives it.
at::Tensor aligned_weight(const at::Tensor& x) {
  return x.defined() ? aligned(x.view({1, 1, -1})) : x;
}

PagedRuns paged_runs(const LayerPages& pages, const PassTables& tables, int64_t head_size) {
  return {pages.memory,
          pages.page_bytes,
          tables.runs(),
          tables.run_pages(pages.group),
          static_cast<int>(tables.num_runs()),
          static_cast<int>(tables.num_kv_heads()),
          static_cast<int>(head_size)};
}

PagedKeys paged_keys(const LayerPages& pages, const PassTables& tables) {
  return {pages.memory,
          pages.page_bytes,
          tables.sequences(),
          tables.starts(pages.group),
          tables.row_begins(pages.group),
          tables.blocks(),
          static_cast<int>(tables.num_sequences()),
          static_cast<int>(tables.num_kv_heads()),
          block_pattern(pages.pattern).window_blocks};
}

class CudaCache : public GpuCache {
 public:
  std::unique_ptr<PageMemory> new_memory(at::Device device,
                                         std::optional<int64_t> max_bytes) const override {
    return std::make_unique<DeviceMemory>(device, max_bytes);
  }

  void write(const LayerPages& pages, const PassTables& tables, const at::Tensor& k_TKD,
             const at::Tensor& v_TKD) const override {
    check_heads("k", k_TKD, tables.num_rows());
    check_heads("v", v_TKD, tables.num_rows());
    LG_CHECK(k_TKD.sizes() == v_TKD.sizes() && k_TKD.size(1) == tables.num_kv_heads(),
             "[kv cache] k and v must have ", tables.num_kv_heads(), " heads, found ",
             describe("k", k_TKD), " and ", describe("v", v_TKD), ".");
    const c10::cuda::CUDAGuard guard(k_TKD.device());
    const at::Tensor k = aligned(k_TKD), v = aligned(v_TKD);
    const WriteArguments arguments = {head_rows(k), head_rows(v),
                                      paged_runs(pages, tables, k.size(2))};
    check_error(write_pages(arguments, stream()), "write_pages");
  }

  at::Tensor prepare_and_write(const LayerPages& pages, const PassTables& tables,
                               const at::Tensor& heads_TAD, int64_t num_heads,
                               const HeadPreparation& preparation) const override {
    check_heads("heads", heads_TAD, tables.num_rows());
    check_groups(num_heads, tables);
    const int64_t head_size = heads_TAD.size(2);
    const auto is_table = [&](const at::Tensor& x) {
      return x.is_cuda() && x.scalar_type() == at::kFloat && x.is_contiguous() &&
             x.sizes() == at::IntArrayRef({tables.num_rows(), head_size / 2});
    };
    const auto is_norm = [&](const at::Tensor& x) {
      return x.is_cuda() && x.scalar_type() == at::kBFloat16 &&
             x.sizes() == at::IntArrayRef({head_size});
    };
    const RopeTable& table = preparation.table;
    const at::Tensor &q_norm = preparation.q_norm_D, &k_norm = preparation.k_norm_D;
    const bool has_norm = q_norm.defined() || k_norm.defined();
    LG_CHECK(heads_TAD.size(1) == num_heads + 2 * tables.num_kv_heads() && is_table(table.cos_TR) &&
                 is_table(table.sin_TR) && (!has_norm || (is_norm(q_norm) && is_norm(k_norm))),
             "[kv cache] expected ", num_heads, " query heads and twice ", tables.num_kv_heads(),
             " KV heads with their RoPE table and the weights of both norms or none, found ",
             describe("heads", heads_TAD), ", ", describe("cos", table.cos_TR), ", ",
             describe("q norm", q_norm), ", ", describe("k norm", k_norm), ".");
    const c10::cuda::CUDAGuard guard(heads_TAD.device());
    const at::Tensor heads = aligned(heads_TAD);
    const at::Tensor q = at::empty({heads.size(0), num_heads, head_size}, heads.options());
    const at::Tensor q_weight = aligned_weight(q_norm), k_weight = aligned_weight(k_norm);
    const PrepareArguments arguments = {head_rows(heads),
                                        table.cos_TR.const_data_ptr<float>(),
                                        table.sin_TR.const_data_ptr<float>(),
                                        has_norm ? q_weight.const_data_ptr() : nullptr,
                                        has_norm ? k_weight.const_data_ptr() : nullptr,
                                        static_cast<float>(preparation.norm_eps),
                                        q.data_ptr(),
                                        static_cast<int>(num_heads),
                                        paged_runs(pages, tables, head_size)};
    check_error(prepare_and_write_pages(arguments, stream()), "prepare_and_write_pages");
    return q;
  }

  at::Tensor attend(const LayerPages& pages, const PassTables& tables, const at::Tensor& q_THD,
                    double scale, AttendWorkspace& workspace) const override {
    check_heads("q", q_THD, tables.num_rows());
    check_groups(q_THD.size(1), tables);
    const c10::cuda::CUDAGuard guard(q_THD.device());
    const at::Tensor q = aligned(q_THD);
    const at::Tensor out = at::empty(q.sizes(), q.options());
    if (tables.max_tokens() > kFewTokens) {
      attend_tiles(pages, tables, q, scale, out);
    } else {
      attend_rows(pages, tables, q, scale, workspace, out);
    }
    return out;
  }

  void scatter(std::byte* to, at::Device device, const at::Tensor& upload,
               int64_t num_pieces) const override {
    LG_CHECK(
        upload.is_pinned() && num_pieces >= 0 && upload.nbytes() >= num_pieces * sizeof(TablePiece),
        "[kv cache] expected ", num_pieces, " pieces in pinned memory, found ",
        describe("upload", upload), ".");
    const c10::cuda::CUDAGuard guard(device);
    check_error(cuda::scatter(to, upload.const_data_ptr(), static_cast<int>(num_pieces), stream()),
                "scatter");
  }

  std::unique_ptr<PageMemory> new_pinned_memory(at::Device device) const override {
    return std::make_unique<PinnedMemory>(device);
  }

  void copy_blocks(at::Device device, std::span<void* const> to, std::span<const void* const> from,
                   int64_t bytes) const override {
    LG_CHECK(to.size() == from.size(), "[kv cache] ", from.size(), " blocks cannot be copied to ",
             to.size(), ".");
    if (to.empty()) return;
    const c10::cuda::CUDAGuard guard(device);
    const std::vector<size_t> sizes(to.size(), static_cast<size_t>(bytes));
    cudaMemcpyAttributes attributes = {};  // of all from the first one on
    attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    attributes.flags = cudaMemcpyFlagPreferOverlapWithCompute;
    size_t first = 0;
    check_error(cudaMemcpyBatchAsync(to.data(), from.data(), sizes.data(), to.size(), &attributes,
                                     &first, 1, stream()),
                "copy_blocks");
  }

 private:
  static void attend_tiles(const LayerPages& pages, const PassTables& tables, const at::Tensor& q,
                           double scale, const at::Tensor& out) {
    const at::Tensor counters = at::zeros({kNumCounters}, q.options().dtype(at::kInt));
    AttendProblem problem = {};
    problem.q = head_rows(q);
    problem.num_rows = q.size(0);
    problem.num_heads = static_cast<int>(q.size(1));
    problem.num_kv_heads = static_cast<int>(tables.num_kv_heads());
    problem.head_size = static_cast<int>(q.size(2));
    problem.scale = static_cast<float>(scale);
    problem.pattern = block_pattern(pages.pattern);
    problem.tiles = tables.tiles();
    problem.num_tiles = static_cast<int>(tables.num_tiles());
    problem.counters = counters.data_ptr<int>();
    check_error(prefill(problem, paged_keys(pages, tables), out.data_ptr(), stream()),
                "attend_paged");
  }

  static void attend_rows(const LayerPages& pages, const PassTables& tables, const at::Tensor& q,
                          double scale, AttendWorkspace& workspace, const at::Tensor& out) {
    const auto num_heads = static_cast<int>(q.size(1)), head_size = static_cast<int>(q.size(2));
    const DecodeShape shape(tables.max_tokens(),
                            num_heads / static_cast<int>(tables.num_kv_heads()), head_size,
                            at::cuda::getCurrentDeviceProperties()->multiProcessorCount);
    grow(workspace, shape, q.device());
    const DecodeArguments arguments = {paged_keys(pages, tables),
                                       head_rows(q),
                                       out.data_ptr(),
                                       workspace.partials.data_ptr<float>(),
                                       workspace.counters.data_ptr<int32_t>(),
                                       num_heads,
                                       head_size,
                                       static_cast<float>(scale)};
    check_error(decode(arguments, shape, stream()), "attend_paged");
  }

  static void grow(AttendWorkspace& workspace, const DecodeShape& shape, at::Device device) {
    const auto on_gpu = at::TensorOptions().device(device);
    const auto has = [](const at::Tensor& x, int64_t count) {
      return x.defined() && x.numel() >= count;
    };
    if (!has(workspace.partials, shape.num_partials)) {
      workspace.partials = at::empty({shape.num_partials}, on_gpu.dtype(at::kFloat));
    }
    if (!has(workspace.counters, shape.num_counters)) {
      workspace.counters = at::zeros({shape.num_counters}, on_gpu.dtype(at::kInt));
    }
  }
};

}  // namespace

const GpuCache& cache() {
  static const CudaCache all;
  return all;
}

}  // namespace longgen::cuda
