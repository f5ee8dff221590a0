/* Runs an exported network on one window, or on any number of them.
 *
 *   ./example            runs the golden window, and compares with what LiteRT gave: exit code 1 if it differs
 *   ./example - < FILE   reads windows of float32 (frames x bands, the first frame first), and writes their logits
 *   ./example array      writes the bytes of the array in model_data.c, which TensorFlow Lite Micro runs
 *
 * network.c comes from a compiler, emx-onnx-cgen. It computes in floats with the rounding of the int8 network, needs
 * megabytes of memory, and is there to check the export on a computer. On a microcontroller give the array in
 * model_data.c to TensorFlow Lite Micro: docs/exports.md names its operators, its arena and its scales.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "model_data.h"
#include "network.h"

static float window[MODEL_INPUTS];
static float logits[MODEL_OUTPUTS];

static int compare(void) {
    float worst = 0.0f;
    run_network(golden_window, logits);
    for (int i = 0; i < MODEL_OUTPUTS; i++) {
        float difference = fabsf(logits[i] - golden_logits[i]);
        if (!(difference <= worst)) worst = difference; /* true also of what is not a number */
        printf("%-16s %8.4f  LiteRT %8.4f\n", model_labels[i], (double)logits[i], (double)golden_logits[i]);
    }
    printf("largest difference %.1f steps of int8; %d are allowed\n", (double)(worst / MODEL_OUTPUT_SCALE), MOST_STEPS);
    return worst <= MOST_STEPS * MODEL_OUTPUT_SCALE ? 0 : 1;
}

static int classify(void) {
    size_t count;
    while ((count = fread(window, sizeof(float), MODEL_INPUTS, stdin)) == MODEL_INPUTS) {
        run_network(window, logits);
        for (int i = 0; i < MODEL_OUTPUTS; i++) printf(i ? " %.9g" : "%.9g", (double)logits[i]);
        printf("\n");
    }
    if (count) fprintf(stderr, "a window has %d floats; the last one has %zu: give whole windows\n", MODEL_INPUTS, count);
    return count ? 2 : 0;
}

int main(int argc, char **argv) {
    if (argc == 1) return compare();
    if (argc == 2 && !strcmp(argv[1], "-")) return classify();
    if (argc == 2 && !strcmp(argv[1], "array"))
        return fwrite(model_data, 1, MODEL_BYTES, stdout) == MODEL_BYTES ? 0 : 1;
    fprintf(stderr, "use: example [- | array]\n");
    return 2;
}
