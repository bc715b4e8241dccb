"""Forward-Forward as an estimator of scikit-learn: probabilities, strange cases, a search, features in a pipeline.

python examples/estimators.py [EPOCHS]
"""

import sys

import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from twofold import ForwardForwardClassifier, ForwardForwardFeatures

if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else "auto"
    wine = load_wine()
    labels = wine.target_names[wine.target]  # words
    table, held, known, wanted = train_test_split(wine.data, labels, stratify=labels, random_state=0)

    # No scaler is needed, and nothing is to be tuned.
    classifier = ForwardForwardClassifier(epochs=epochs, reject=0.02, random_state=0).fit(table, known)
    print("right on the test part", classifier.score(held, wanted))
    print("probabilities of", classifier.classes_, classifier.predict_proba(held[:1]).round(2))

    # What looks like nothing that was learned from is rejected: here columns of different wines.
    strange = np.random.default_rng(0).permuted(held, axis=0)
    for name, cases in (("test part", held), ("strange", strange)):
        print(name, "rejected", (classifier.predict(cases) == "rejected").mean())

    # Two layers, and how many units they need.
    search = GridSearchCV(classifier, {"widths": [(50,), (200,), (100, 100)]}, cv=3).fit(table, known)
    print("best widths", search.best_params_, "right on the test part", search.score(held, wanted))

    # Features that were learned without a label, in front of a classifier.
    features = ForwardForwardFeatures((50,), epochs=epochs, random_state=0)
    pipeline = make_pipeline(features, ForwardForwardClassifier(epochs=epochs, random_state=0))
    print("on features, right on the test part", pipeline.fit(table, known).score(held, wanted))
