/* The part of NVIDIA's nvbufsurface.h that the example uses, declared anew: names and types are its own, values are not. */
#ifndef NVBUFSURFACE_H
#define NVBUFSURFACE_H

#include <stdint.h>

#define NVBUF_MAX_PLANES 4

typedef enum {
    NVBUF_MEM_DEFAULT,
    NVBUF_MEM_CUDA_PINNED,
    NVBUF_MEM_CUDA_DEVICE,
    NVBUF_MEM_CUDA_UNIFIED,
    NVBUF_MEM_SURFACE_ARRAY
} NvBufSurfaceMemType;
typedef enum { NVBUF_LAYOUT_PITCH, NVBUF_LAYOUT_BLOCK_LINEAR } NvBufSurfaceLayout;
typedef enum {
    NVBUF_COLOR_FORMAT_RGBA,
    NVBUF_COLOR_FORMAT_NV12,
    NVBUF_COLOR_FORMAT_NV12_ER,
    NVBUF_COLOR_FORMAT_NV12_709,
    NVBUF_COLOR_FORMAT_NV12_709_ER
} NvBufSurfaceColorFormat;

typedef struct {
    uint32_t num_planes;
    uint32_t width[NVBUF_MAX_PLANES], height[NVBUF_MAX_PLANES], pitch[NVBUF_MAX_PLANES], offset[NVBUF_MAX_PLANES],
        psize[NVBUF_MAX_PLANES];
} NvBufSurfacePlaneParams;

typedef struct {
    uint32_t width, height, pitch;
    NvBufSurfaceColorFormat colorFormat;
    NvBufSurfaceLayout layout;
    void *dataPtr;
    NvBufSurfacePlaneParams planeParams;
} NvBufSurfaceParams;

typedef struct {
    uint32_t gpuId, batchSize, numFilled;
    NvBufSurfaceMemType memType;
    NvBufSurfaceParams *surfaceList;
} NvBufSurface;

#endif
