// A plug-in whose backend has a version that this build does not know.
extern "C" const void* longgen_gpu_backend(int version) {
  static const int backend = 0;
  return version == -1 ? &backend : nullptr;
}
