// The few loops of an update that PyTorch cannot fuse on a CPU. float32, rows contiguous; no
// threads, no state, no libraries. Plain C that a compiler turns into vector instructions.
// Every function has a PyTorch twin, which is what it must equal; see choreo/native/__init__.py.

#include <math.h>
#include <string.h>

typedef const float *restrict Input;  // inputs and outputs never overlap
typedef float *restrict Output;

static inline float exponential(float x) {  // within 2 units of the last place
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    float n = rintf(x * 1.44269504f);
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int bits = ((int)n + 127) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return p * power;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

static inline float tangent(float x) { return 1.0f - 2.0f / (1.0f + exponential(2.0f * x)); }

// ---- Nearest neighbours ------------------------------------------------------------------------

// A heap of the k smallest values seen, the largest of them on top.
static void replace_top(float *heap, int k, float value) {
    int at = 0;
    for (;;) {
        int child = 2 * at + 1;
        if (child >= k) break;
        if (child + 1 < k && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= value) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

enum { CHUNK = 64 };

// Shows a tile of squared distances (rows, cols) to the heaps of its rows and, where `row_heaps`
// and `col_heaps` are different particles, to those of its columns. `row_top` and `col_top` hold
// the tops of the heaps: only what lies below one is looked at twice.
void choreo_show_tile(const float *tile, long rows, long cols, int k, float *row_heaps,
                      float *row_top, float *col_heaps, float *col_top, int symmetric) {
    for (long i = 0; i < rows; i++) {
        const float *line = tile + i * cols;
        float *heap = row_heaps + i * k;
        for (long start = 0; start < cols; start += CHUNK) {
            long end = start + CHUNK < cols ? start + CHUNK : cols;
            float top = row_top[i];
            int found = 0;
            if (symmetric) {
                for (long j = start; j < end; j++) {
                    float limit = col_top[j] > top ? col_top[j] : top;
                    found |= line[j] < limit;
                }
            } else {
                for (long j = start; j < end; j++) found |= line[j] < top;
            }
            if (!found) continue;
            for (long j = start; j < end; j++) {
                if (line[j] < row_top[i]) {
                    replace_top(heap, k, line[j]);
                    row_top[i] = heap[0];
                }
                if (symmetric && line[j] < col_top[j]) {
                    replace_top(col_heaps + j * k, k, line[j]);
                    col_top[j] = col_heaps[j * k];
                }
            }
        }
    }
}

// ---- Samples of categorical variables ----------------------------------------------------------

// Probabilities and one-hot samples of (rows, classes) logits at one uniform number per row.
void choreo_sample(Input logit, Input uniform, long rows, long classes,
                   Output probs, Output sample) {
    for (long i = 0; i < rows; i++) {
        Input x = logit + i * classes;
        Output p = probs + i * classes, s = sample + i * classes;
        float top = x[0], total = 0.0f, below = 0.0f;
        for (long j = 1; j < classes; j++) top = x[j] > top ? x[j] : top;
        for (long j = 0; j < classes; j++) p[j] = exponential(x[j] - top);
        for (long j = 0; j < classes; j++) total += p[j];
        float scale = 1.0f / total, limit = uniform[i] * total;
        long index = 0;
        for (long j = 0; j + 1 < classes; j++) {
            below += p[j];
            index += below <= limit;
        }
        for (long j = 0; j < classes; j++) p[j] *= scale;
        float zero = total == total ? 0.0f : total;  // NaN goes on, so that it is found
        for (long j = 0; j < classes; j++) s[j] = zero;
        s[index] = 1.0f + zero;
    }
}

// Gradient of softmax: p * (g - sum(g * p)).
void choreo_softmax_backward(Input grad, Input probs, long rows, long classes,
                             Output out) {
    for (long i = 0; i < rows; i++) {
        Input g = grad + i * classes, p = probs + i * classes;
        float mean = 0.0f;
        for (long j = 0; j < classes; j++) mean += g[j] * p[j];
        for (long j = 0; j < classes; j++) out[i * classes + j] = p[j] * (g[j] - mean);
    }
}

// ---- The gates of the recurrent cell -----------------------------------------------------------

// LayerNorm of the three gates (rows, 3 * size), then the next h (rows, size). `mean` and `rstd`
// (rows) are kept for the backward pass.
void choreo_gates(Input gates, Input weight, Input bias, Input deter,
                  long rows, long size, Output mean, Output rstd, Output next) {
    for (long i = 0; i < rows; i++) {
        Input x = gates + i * 3 * size, h = deter + i * size;
        float sum = 0.0f, square = 0.0f;
        for (long j = 0; j < 3 * size; j++) sum += x[j];
        float m = sum / (3 * size);
        for (long j = 0; j < 3 * size; j++) square += (x[j] - m) * (x[j] - m);
        float s = 1.0f / sqrtf(square / (3 * size) + 1e-5f);
        mean[i] = m, rstd[i] = s;
        const float *wr = weight, *wc = weight + size, *wu = weight + 2 * size;
        const float *br = bias, *bc = bias + size, *bu = bias + 2 * size;
        for (long j = 0; j < size; j++) {
            float reset = sigmoid((x[j] - m) * s * wr[j] + br[j]);
            float candidate = tangent(reset * ((x[size + j] - m) * s * wc[j] + bc[j]));
            float update = sigmoid((x[2 * size + j] - m) * s * wu[j] + bu[j] - 1.0f);
            next[i * size + j] = h[j] + update * (candidate - h[j]);
        }
    }
}

// Gradients of choreo_gates; those of weight and bias are added to what is there.
void choreo_gates_backward(Input grad, Input gates, Input weight,
                           Input bias, Input deter, Input mean,
                           Input rstd, long rows, long size, Output grad_gates,
                           Output grad_deter, Output grad_weight, Output grad_bias) {
    for (long i = 0; i < rows; i++) {
        Input x = gates + i * 3 * size, h = deter + i * size, g = grad + i * size;
        Output d = grad_gates + i * 3 * size;
        float m = mean[i], s = rstd[i];
        const float *wr = weight, *wc = weight + size, *wu = weight + 2 * size;
        const float *br = bias, *bc = bias + size, *bu = bias + 2 * size;
        for (long j = 0; j < size; j++) {
            float inner = (x[size + j] - m) * s * wc[j] + bc[j];
            float reset = sigmoid((x[j] - m) * s * wr[j] + br[j]);
            float candidate = tangent(reset * inner);
            float update = sigmoid((x[2 * size + j] - m) * s * wu[j] + bu[j] - 1.0f);
            float outer = g[j] * update * (1.0f - candidate * candidate);
            grad_deter[i * size + j] = g[j] * (1.0f - update);
            d[j] = outer * inner * reset * (1.0f - reset);
            d[size + j] = outer * reset;
            d[2 * size + j] = g[j] * (candidate - h[j]) * update * (1.0f - update);
        }
        float sum = 0.0f, dot = 0.0f;
        for (long j = 0; j < 3 * size; j++) {
            float z = (x[j] - m) * s;
            grad_weight[j] += d[j] * z;
            grad_bias[j] += d[j];
            d[j] *= weight[j];
            sum += d[j];
            dot += d[j] * z;
        }
        sum /= 3 * size, dot /= 3 * size;
        for (long j = 0; j < 3 * size; j++) d[j] = s * (d[j] - sum - (x[j] - m) * s * dot);
    }
}
