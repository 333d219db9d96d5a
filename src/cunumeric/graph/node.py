class Node: 
    pass
