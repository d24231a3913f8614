/* Stands in for NVIDIA's driver (libcuda.so.1) where a machine has none. MindSpore 1.7.0 links against it, on a CPU too;
   every call is answered by CUDA's own error 100, "no device". Its ten functions are those that its libraries lack. */
#define ABSENT(name) int name(void) { return 100; }

ABSENT(cuDeviceGetAttribute)
ABSENT(cuDeviceGetName)
ABSENT(cuGetErrorName)
ABSENT(cuLaunchKernel)
ABSENT(cuMemsetD32_v2)
ABSENT(cuModuleGetFunction)
ABSENT(cuModuleGetGlobal_v2)
ABSENT(cuModuleLoadData)
ABSENT(cuModuleLoadDataEx)
ABSENT(cuModuleUnload)
